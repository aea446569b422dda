"""Feature folders of composed data sets: each file is extracted once, clips are gathered."""
