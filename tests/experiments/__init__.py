"""What training finds: data, networks, the loop, and studies."""
