"""Parts of a request -> Operation. Whatever is unknown is refused and named; nothing is dropped."""
