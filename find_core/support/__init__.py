"""What every package of this project uses: lazy imports, old module names, a small cache."""
