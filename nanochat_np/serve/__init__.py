"""The HTTP server: OpenAI's protocol, upstream's, and a web page, over one engine in a thread of its own."""
