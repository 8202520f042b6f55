"""How rows are spread: scatter matrices and the directions found from them."""
