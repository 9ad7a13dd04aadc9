"""Where frames come from: files, folders, cameras, rosbags."""
