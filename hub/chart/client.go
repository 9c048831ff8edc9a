package chart

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Bounds of what is read from a repository.
const (
	maxIndex = 64 << 20
	maxChart = 64 << 20
	// maxManifest of an OCI registry, and of its answers.
	maxManifest = 4 << 20
)

// Patience with one repository, from the question to the chart. Who has nothing else to do may wait as long.
const Patience = 2 * time.Minute

// Auth is what a Secret says of a repository.
type Auth struct {
	Username, Password string
	// Token is sent as a bearer token.
	Token string
	// CA is PEM, added to the system's.
	CA []byte
}

// AuthFrom reads a Secret with username and password, or token, and ca.crt.
func AuthFrom(data map[string][]byte) (Auth, error) {
	auth := Auth{Username: string(data["username"]), Password: string(data["password"]), Token: string(data["token"]), CA: data["ca.crt"]}
	switch {
	case auth.Token != "" && auth.Username != "":
		return Auth{}, errors.New("it has username and token: give username and password, or token")
	case auth.Password != "" && auth.Username == "":
		return Auth{}, errors.New("it has a password and no username")
	case auth.Username == "" && auth.Token == "" && len(auth.CA) == 0:
		return Auth{}, errors.New("it has none of the keys username and password, token, ca.crt")
	default:
		return auth, nil
	}
}

// id tells credentials apart without showing them.
func (a Auth) id() string {
	return hexSum(fmt.Appendf(nil, "%q %q %q %q", a.Username, a.Password, a.Token, a.CA))
}

// statusError is an answer other than 200.
type statusError struct {
	url  string
	code int
}

func (e *statusError) Error() string {
	switch e.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Sprintf("%s answers %d %s: check the Secret that source.helm.secretRef names", e.url, e.code, http.StatusText(e.code))
	default:
		return fmt.Sprintf("%s answers %d %s", e.url, e.code, http.StatusText(e.code))
	}
}

// newClient makes a client for one repository. Over a redirect to another host no credentials travel, and a repository that
// is spoken to with TLS leads to nothing without it.
func newClient(auth Auth, plain bool) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	if len(auth.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(auth.CA) {
			return nil, errors.New("ca.crt of the Secret that source.helm.secretRef names holds no certificate")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: guard{transport, plain}, CheckRedirect: func(request *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("it redirects more than 10 times")
		}
		if origin(request.URL) != origin(via[0].URL) {
			request.Header.Del("Authorization")
			request.Header.Del("Cookie")
		}
		return nil
	}}, nil
}

// guard refuses requests without TLS where the repository's address has it.
type guard struct {
	next  http.RoundTripper
	plain bool
}

func (g guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" && !g.plain {
		return nil, fmt.Errorf("it leads to %s, which has no TLS", origin(request.URL))
	}
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", "periplus-hub")
	return g.next.RoundTrip(request)
}

func origin(address *url.URL) string {
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[address.Scheme]
	}
	return address.Scheme + "://" + address.Hostname() + ":" + port
}

// get reads a URL of at most limit bytes. Credentials go to the host of home only.
func get(ctx context.Context, client *http.Client, home *url.URL, auth Auth, address *url.URL, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	if origin(address) == origin(home) {
		auth.sign(request)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, explain(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, &statusError{address.Redacted(), response.StatusCode}
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", address.Redacted(), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d MiB", address.Redacted(), limit>>20)
	}
	return data, nil
}

func (a Auth) sign(request *http.Request) {
	switch {
	case a.Token != "":
		request.Header.Set("Authorization", "Bearer "+a.Token)
	case a.Username != "":
		request.SetBasicAuth(a.Username, a.Password)
	}
}

// explain says what to do about a certificate that nobody vouches for.
func explain(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w: put the certificate of its authority into ca.crt of the Secret that source.helm.secretRef names", err)
	}
	return err
}
