package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestParse(t *testing.T) {
	const secret = "s3cret"
	github := `{"ref":"refs/heads/main","repository":{"clone_url":"https://git.example.com/Org/fleet.git","ssh_url":"git@git.example.com:Org/fleet.git"}}`
	gitlab := `{"ref":"refs/heads/main","project":{"git_ssh_url":"git@x:org/fleet.git"}}`
	other := `{"ref":"refs/heads/main","repository":{"clone_url":"https://git.example.com/org/other.git"}}`
	cases := map[string]struct {
		reason string
		body   string
		header map[string]string
		ref    v1alpha1.GitRef
		want   bool
		err    error
	}{
		"GitHub":      {reason: "A signed push to the branch.", body: github, header: map[string]string{"X-Hub-Signature-256": "sha256=" + sign(secret, github)}, want: true},
		"GitLab":      {reason: "GitLab names the secret.", body: gitlab, header: map[string]string{"X-Gitlab-Token": secret}, want: true},
		"Generic":     {reason: "An empty signed body asks for a fetch.", header: map[string]string{"X-Signature-256": sign(secret, "")}, want: true},
		"OtherRepo":   {reason: "Another repo of the same server.", body: other, header: map[string]string{"X-Gitea-Signature": sign(secret, other)}},
		"OtherBranch": {reason: "Another branch.", body: github, header: map[string]string{"X-Gitlab-Token": secret}, ref: v1alpha1.GitRef{Branch: "x"}},
		"Commit":      {reason: "Any push may bring the commit.", body: github, header: map[string]string{"X-Gitlab-Token": secret}, ref: v1alpha1.GitRef{Commit: "x"}, want: true},
		"Unsigned":    {reason: "Nobody may make the hub fetch unproven.", body: github, err: ErrUnproven},
		"WrongKey":    {reason: "The key counts.", body: github, header: map[string]string{"X-Hub-Signature-256": "sha256=" + sign("x", github)}, err: ErrUnproven},
		"WrongToken":  {reason: "The token counts.", body: github, header: map[string]string{"X-Gitlab-Token": secret + "x"}, err: ErrUnproven},
		"OtherBody":   {reason: "The body counts.", body: other, header: map[string]string{"X-Hub-Signature-256": "sha256=" + sign(secret, github)}, err: ErrUnproven},
		"NoJSON":      {reason: "Only JSON is read.", body: "payload=x", header: map[string]string{"X-Gitlab-Token": secret}, err: ErrMalformed},
		"TooLarge":    {reason: "Bodies are bounded.", body: string(bytes.Repeat([]byte(" "), MaxBody+1)), header: map[string]string{"X-Gitlab-Token": secret}, err: ErrTooLarge},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, "/hooks/fleet/fleet", bytes.NewReader([]byte(tc.body)))
			for key, value := range tc.header {
				request.Header.Set(key, value)
			}
			got, err := Parse(request, Repo{URL: "ssh://git@inside:2222/org/fleet", Ref: tc.ref, Secret: []byte(secret)})
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%s\nwant %t, %v; got %t, %v", tc.reason, tc.want, tc.err, got, err)
			}
		})
	}
	if Proven(http.Header{"X-Gitlab-Token": {""}}, nil, nil) {
		t.Error("a repo without a secret takes no webhooks")
	}
}

func FuzzConcerns(f *testing.F) {
	f.Add([]byte(`{"ref":"refs/heads/main","repository":{"clone_url":"https://git.example.com/org/fleet.git"}}`))
	f.Add([]byte(`{"project":{"git_ssh_url":"git@x:y"}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		concerns, err := Concerns(body, Repo{URL: "https://git.example.com/org/fleet.git"})
		if concerns && err != nil {
			t.Errorf("a body that cannot be read concerns nobody: %q", body)
		}
	})
}
