"""Who writes sentences: templates, a server, a language model of transformers."""
