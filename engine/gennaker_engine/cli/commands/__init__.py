"""One module for each command or small family; imported only when the command is called."""
