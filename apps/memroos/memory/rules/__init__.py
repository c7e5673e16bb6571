"""Pure decisions of memory: who may read, what is a word, what answers best."""
