"""The one way to a cluster: which kubeconfig is trusted, discovery, requests, watches, errors in words."""
