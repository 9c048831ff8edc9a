package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/skeema/knownhosts"
)

// Keys of a Git Secret.
const (
	keyUsername      = "username"
	keyPassword      = "password"
	keyToken         = "token"
	keySSHKey        = "ssh-privatekey"
	keyKnownHosts    = "known_hosts"
	keyCA            = "ca.crt"
	keyWebhookSecret = "webhook-secret"
)

// tokenUser stands in for a user where only a token is known: the servers in use take any name.
const tokenUser = "x-access-token"

// Auth is what a FleetRepo's Secret holds.
type Auth struct {
	Username, Password string
	SSHKey, KnownHosts []byte
	// CA is PEM of further authorities for https; callers put it into Spec.CA.
	CA []byte
	// WebhookSecret proves a push webhook.
	WebhookSecret []byte
}

// AuthFromSecret reads a Secret's data: username and password, or token, or ssh-privatekey with known_hosts; optionally
// ca.crt and webhook-secret.
func AuthFromSecret(data map[string][]byte) (*Auth, error) {
	auth := &Auth{
		Username: text(data, keyUsername), Password: text(data, keyPassword),
		SSHKey: data[keySSHKey], KnownHosts: data[keyKnownHosts], CA: data[keyCA], WebhookSecret: data[keyWebhookSecret],
	}
	token := text(data, keyToken)
	switch {
	case token != "" && auth.Password != "":
		return nil, fmt.Errorf("a Git Secret holds either %s or %s, not both", keyToken, keyPassword)
	case auth.Username != "" && auth.Password == "" && token == "":
		return nil, fmt.Errorf("a Git Secret with %s needs %s or %s", keyUsername, keyPassword, keyToken)
	case len(auth.SSHKey) > 0 && len(auth.KnownHosts) == 0:
		return nil, fmt.Errorf("a Git Secret with %s needs %s: without it any server could answer", keySSHKey, keyKnownHosts)
	case token != "":
		auth.Password = token
		if auth.Username == "" {
			auth.Username = tokenUser
		}
	}
	return auth, nil
}

func text(data map[string][]byte, key string) string { return strings.TrimSpace(string(data[key])) }

// method is the transport's form of the credentials; nil where the URL's scheme needs none. dir is the repository's folder.
func (a *Auth) method(url, dir string) (transport.AuthMethod, error) {
	endpoint, err := transport.NewEndpoint(url)
	if err != nil {
		return nil, fmt.Errorf("%w: the URL cannot be read: %w", ErrNotFound, err)
	}
	switch endpoint.Protocol {
	case "http", "https":
		if a == nil || a.Password == "" {
			return nil, nil
		}
		return &http.BasicAuth{Username: a.Username, Password: a.Password}, nil
	case "ssh":
		return a.sshMethod(endpoint, dir)
	case "file":
		return nil, nil
	default:
		return nil, fmt.Errorf("%w: %s URLs are not supported, use http, https, ssh or file", ErrNotFound, endpoint.Protocol)
	}
}

func (a *Auth) sshMethod(endpoint *transport.Endpoint, dir string) (transport.AuthMethod, error) {
	if a == nil || len(a.SSHKey) == 0 {
		return nil, fmt.Errorf("%w: an ssh URL needs %s and %s", ErrAuth, keySSHKey, keyKnownHosts)
	}
	user := endpoint.User
	if user == "" {
		user = gitssh.DefaultUsername
	}
	method, err := gitssh.NewPublicKeys(user, a.SSHKey, a.Password)
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrAuth, keySSHKey, err)
	}
	// The library reads known hosts from files only.
	file := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(file, a.KnownHosts, 0o600); err != nil {
		return nil, err
	}
	known, err := knownhosts.NewDB(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrAuth, keyKnownHosts, err)
	}
	port := endpoint.Port
	if port == 0 {
		port = gitssh.DefaultPort
	}
	method.HostKeyCallback = known.HostKeyCallback()
	// Only algorithms that known_hosts has a key for: else the server may present another of its keys.
	method.HostKeyAlgorithms = known.HostKeyAlgorithms(fmt.Sprintf("%s:%d", endpoint.Host, port))
	return method, nil
}

// isSSHAuth recognises a refused key or an unknown host, for which the libraries have no sentinel at this depth.
func isSSHAuth(err error) bool {
	if knownhosts.IsHostKeyChanged(err) || knownhosts.IsHostUnknown(err) {
		return true
	}
	var unwrapped error
	for unwrapped = err; errors.Unwrap(unwrapped) != nil; {
		unwrapped = errors.Unwrap(unwrapped)
	}
	text := unwrapped.Error()
	return strings.Contains(text, "ssh: unable to authenticate") || strings.Contains(text, "knownhosts: ")
}
