"""What every node needs: parameters, QoS, diagnostics, start and end."""
