"""Golden files: what one holds, how it is written and read, and the folder in which all of them lie."""
