"""The parameters of the model as named views of one flat vector, and the torch module over them."""
