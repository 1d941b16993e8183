"""Reports of what happens during a run: messages, history, terminal, TensorBoard and trace."""
