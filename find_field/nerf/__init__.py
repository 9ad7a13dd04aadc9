"""The nerfstudio plug-in: nothing else imports nerfstudio."""
