"""The ROS 2 door: a localizer, a field server and a camera player. Thin: no model code here."""
