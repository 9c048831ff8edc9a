// Package webhook reads the push webhooks of Git servers. A webhook only makes the next fetch prompt: it carries no state
// and is never believed about what changed. It must prove that it knows the repo's webhook-secret.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/source"
)

// MaxBody bounds a webhook's body, in bytes.
const MaxBody = 1 << 20

// Headers that prove the sender.
const (
	headerGitHub  = "X-Hub-Signature-256"
	headerGitea   = "X-Gitea-Signature"
	headerGeneric = "X-Signature-256"
	headerGitLab  = "X-Gitlab-Token"
)

// What a handler answers with another status.
var (
	// ErrUnproven: the sender does not know the secret (401).
	ErrUnproven = errors.New("the webhook is not signed with the repo's webhook-secret")
	// ErrTooLarge: the body is above MaxBody (413).
	ErrTooLarge = fmt.Errorf("the webhook's body is larger than %d bytes", MaxBody)
	// ErrMalformed: the body is no JSON (400).
	ErrMalformed = errors.New("the webhook's body is no JSON object")
)

// Repo that a webhook is addressed to.
type Repo struct {
	URL    string
	Ref    v1alpha1.GitRef
	Secret []byte
}

// Parse checks a request and says whether it concerns the repo: a push to its ref, or anything that cannot be told from one.
// A repo without a secret takes no webhooks.
func Parse(request *http.Request, repo Repo) (concerns bool, err error) {
	body, err := io.ReadAll(io.LimitReader(request.Body, MaxBody+1))
	// A server in front may have a smaller limit of its own.
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return false, ErrTooLarge
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the webhook: %w", err)
	}
	if len(body) > MaxBody {
		return false, ErrTooLarge
	}
	if !Proven(request.Header, body, repo.Secret) {
		return false, ErrUnproven
	}
	return Concerns(body, repo)
}

// Proven says whether the sender knows the secret: by an HMAC of the body, or by naming it as GitLab does. Comparisons take
// the same time whatever differs.
func Proven(header http.Header, body, secret []byte) bool {
	if len(secret) == 0 {
		return false
	}
	if token := header.Get(headerGitLab); token != "" {
		// Hashed first, so that not even the length shows.
		given, want := sha256.Sum256([]byte(token)), sha256.Sum256(secret)
		return subtle.ConstantTimeCompare(given[:], want[:]) == 1
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	want := mac.Sum(nil)
	for _, name := range []string{headerGitHub, headerGitea, headerGeneric} {
		if text := header.Get(name); text != "" {
			given, err := hex.DecodeString(strings.TrimPrefix(text, "sha256="))
			return err == nil && hmac.Equal(given, want)
		}
	}
	return false
}

// push is what the servers' payloads have in common.
type push struct {
	Ref        string     `json:"ref"`
	Repository repository `json:"repository"`
	Project    repository `json:"project"`
}

type repository struct {
	CloneURL   string `json:"clone_url"`
	SSHURL     string `json:"ssh_url"`
	GitHTTPURL string `json:"git_http_url"`
	GitSSHURL  string `json:"git_ssh_url"`
	URL        string `json:"url"`
}

// Concerns reads a body. An empty body, or one without ref and repository, concerns the repo: a fetch too many costs little.
func Concerns(body []byte, repo Repo) (bool, error) {
	if len(strings.TrimSpace(string(body))) == 0 {
		return true, nil
	}
	var event push
	if err := json.Unmarshal(body, &event); err != nil {
		return false, ErrMalformed
	}
	urls := event.Repository.urls()
	urls = append(urls, event.Project.urls()...)
	matched := len(urls) == 0
	want := samePlace(repo.URL)
	for _, candidate := range urls {
		matched = matched || samePlace(candidate) == want
	}
	return matched && concernsRef(event.Ref, repo.Ref), nil
}

func (r repository) urls() []string {
	var out []string
	for _, one := range []string{r.CloneURL, r.SSHURL, r.GitHTTPURL, r.GitSSHURL, r.URL} {
		if one != "" {
			out = append(out, one)
		}
	}
	return out
}

func concernsRef(pushed string, ref v1alpha1.GitRef) bool {
	switch {
	case pushed == "" || ref.Commit != "":
		return true
	case ref.Tag != "":
		return pushed == "refs/tags/"+ref.Tag
	case ref.Branch != "":
		return pushed == "refs/heads/"+ref.Branch
	default:
		return pushed == "refs/heads/"+source.DefaultBranch
	}
}

// samePlace is the path of a repository without what differs between its addresses: scheme, user, host, .git. Host names are
// left out, as a server is often known by another name inside.
func samePlace(raw string) string {
	place := raw
	if parsed, err := url.Parse(raw); err == nil && parsed.Host != "" {
		place = parsed.Path
	} else if _, after, scp := strings.Cut(raw, ":"); scp {
		place = after
	}
	return strings.ToLower(strings.TrimSuffix(path.Clean("/"+strings.Trim(place, "/")), ".git"))
}
