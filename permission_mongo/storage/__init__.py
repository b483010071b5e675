"""Plans -> outcomes. The one room that imports pymongo."""
