package source_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/periplus-fleet/periplus/hub/source"
)

// serveHTTPS serves the folder's repositories to those who know the password, and says which users came.
func serveHTTPS(t *testing.T, folder, user, password string) (url string, ca []byte) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1"}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gotUser, gotPassword, _ := r.BasicAuth()
		if gotUser != user || gotPassword != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func TestFetchOverHTTPSWithCredentials(t *testing.T) {
	o := newOrigin(t)
	want := o.commit(map[string]string{"a": "1"})
	url, ca := serveHTTPS(t, filepath.Dir(o.dir), "x-access-token", "s3cret")
	url += "/" + filepath.Base(o.dir)
	auth := func(data map[string]string) *source.Auth {
		raw := map[string][]byte{}
		for key, value := range data {
			raw[key] = []byte(value)
		}
		auth, err := source.AuthFromSecret(raw)
		if err != nil {
			t.Fatal(err)
		}
		return auth
	}
	cases := map[string]struct {
		reason string
		auth   *source.Auth
		ca     []byte
		want   error
	}{
		"Token":         {reason: "a token goes with a name that every server takes", auth: auth(map[string]string{"token": "s3cret\n"}), ca: ca},
		"Password":      {reason: "username and password", auth: auth(map[string]string{"username": "x-access-token", "password": "s3cret"}), ca: ca},
		"WrongPassword": {reason: "a person must mend the Secret", auth: auth(map[string]string{"token": "guess"}), ca: ca, want: source.ErrAuth},
		"NoCredentials": {reason: "a repository that is not public needs a Secret", ca: ca, want: source.ErrAuth},
		"UnknownCA":     {reason: "who answers is not proven, so nothing is sent", auth: auth(map[string]string{"token": "s3cret"}), want: source.ErrUnreachable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			repos, _ := newRepos(t)
			commit, _, err := repos.Fetch(t.Context(), "fleet/fleet", source.Spec{URL: url, Auth: tc.auth, CA: tc.ca})
			if !errors.Is(err, tc.want) || (tc.want == nil && commit != want) {
				t.Fatalf("%s: want %s, %v; got %s, %v", tc.reason, want, tc.want, commit, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password stands in the error: %v", err)
			}
		})
	}
}

// sshKey is a new key: its private part as OpenSSH writes it, and its public one.
func sshKey(t *testing.T) ([]byte, ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), signer
}

// serveSSH runs git upload-pack for those who hold the key.
func serveSSH(t *testing.T, host ssh.Signer, allowed ssh.PublicKey) (address string) {
	t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("this key may not read")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	group.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { serveSSHConnection(connection, config) })
		}
	})
	return listener.Addr().String()
}

func serveSSHConnection(connection net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = connection.Close() }()
	_, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			if request.Type != "exec" {
				_ = request.Reply(false, nil)
				continue
			}
			_ = request.Reply(true, nil)
			var line struct{ Command string }
			status := struct{ Code uint32 }{1}
			if ssh.Unmarshal(request.Payload, &line) == nil && uploadPack(channel, line.Command) == nil {
				status.Code = 0
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
			_ = channel.Close()
		}
	}
}

func uploadPack(channel ssh.Channel, line string) error {
	path, ok := strings.CutPrefix(line, "git-upload-pack ")
	if !ok {
		return fmt.Errorf("unknown command %q", line)
	}
	command := exec.Command("git", "upload-pack", strings.Trim(path, "'"))
	stdin, err := command.StdinPipe()
	if err != nil {
		return err
	}
	command.Stdout = channel
	// Not command.Stdin: waiting for the client's end of input would wait for a client that waits for us.
	go func() { _, _ = io.Copy(stdin, channel); _ = stdin.Close() }()
	return command.Run()
}

func TestFetchOverSSH(t *testing.T) {
	o := newOrigin(t)
	want := o.commit(map[string]string{"a": "1"})
	key, client := sshKey(t)
	stranger, _ := sshKey(t)
	_, host := sshKey(t)
	_, otherHost := sshKey(t)
	address := serveSSH(t, host, client.PublicKey())
	known := func(signer ssh.Signer) []byte {
		return []byte(knownhosts.Line([]string{knownhosts.Normalize(address)}, signer.PublicKey()) + "\n")
	}
	cases := map[string]struct {
		reason string
		auth   source.Auth
		want   error
	}{
		"Key":         {reason: "the server knows the key and we know the server", auth: source.Auth{SSHKey: key, KnownHosts: known(host)}},
		"WrongKey":    {reason: "a person must mend the Secret", auth: source.Auth{SSHKey: stranger, KnownHosts: known(host)}, want: source.ErrAuth},
		"OtherServer": {reason: "another server answers than the one that known_hosts names", auth: source.Auth{SSHKey: key, KnownHosts: known(otherHost)}, want: source.ErrAuth},
		"NoKey":       {reason: "ssh needs a key", want: source.ErrAuth},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			repos, _ := newRepos(t)
			commit, _, err := repos.Fetch(t.Context(), "fleet/fleet", source.Spec{URL: "ssh://git@" + address + o.dir, Auth: &tc.auth})
			if !errors.Is(err, tc.want) || (tc.want == nil && commit != want) {
				t.Fatalf("%s: want %s, %v; got %s, %v", tc.reason, want, tc.want, commit, err)
			}
		})
	}
}
