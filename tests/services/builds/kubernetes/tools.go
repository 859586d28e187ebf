//go:build tools

// The programs that scripts/kube builds; go.mod replaces the staging modules of Kubernetes, which `go install` refuses.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
