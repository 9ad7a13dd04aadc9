"""The page as NiceGUI elements, one panel a module. Each open page has its own."""
