"""The console command `keras-cmg`: one file per subcommand.

A subcommand is a module with a docstring, which its `--help` shows, and two functions:
`add_arguments(parser)`, and `run(arguments)`, which returns an exit code. `recipes.console.main`
describes what else it may have.
"""
