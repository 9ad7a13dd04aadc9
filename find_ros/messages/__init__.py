"""Between ROS messages and arrays."""
