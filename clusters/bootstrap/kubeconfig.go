package bootstrap

import (
	"errors"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// currentUser is the name of the user that a kubeconfig acts as.
func currentUser(current string, contexts map[string]*clientcmdapi.Context) string {
	if context := contexts[current]; context != nil {
		return context.AuthInfo
	}
	return ""
}

// selfContained refuses a kubeconfig that would make the hub run a program or read a file of its own: whoever may write
// the Secret must not thereby act on the hub's machine.
func selfContained(user *clientcmdapi.AuthInfo) error {
	switch {
	case user == nil:
		return errors.New("its current context names no user")
	case user.Exec != nil || user.AuthProvider != nil:
		return errors.New("it runs a credential plugin; only certificates and tokens that stand in it are used")
	case user.ClientCertificate != "" || user.ClientKey != "" || user.TokenFile != "":
		return errors.New("it refers to files; only certificates and tokens that stand in it are used")
	}
	return nil
}
