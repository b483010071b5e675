"""HTTP. The one room that imports starlette and uvicorn."""
