"""Two ViperX arms at a table, and tasks with soft objects that need both."""
