// Package client reaches the hub's status API as the user of a kubeconfig, or by --server and --token.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// HubInfo is the ConfigMap on the hub's cluster that says where the hub's API is: keys api-endpoint (host:port) and
// api-ca.crt (PEM).
const (
	HubInfo          = "periplus-hub-info"
	HubNamespace     = "periplus-system"
	keyAPIEndpoint   = "api-endpoint"
	keyAPICA         = "api-ca.crt"
	defaultNamespace = "fleet"
)

// Options are the flags that every command shares.
type Options struct {
	Kubeconfig   string
	Context      string
	Namespace    string
	HubNamespace string
	Server       string
	Token        string
	CAFile       string
	Timeout      time.Duration
}

// Bind registers the flags.
func (o *Options) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig of the hub's cluster (default: $KUBECONFIG, then ~/.kube/config)")
	flags.StringVar(&o.Context, "context", "", "context of the kubeconfig")
	flags.StringVarP(&o.Namespace, "namespace", "n", "", "namespace (tenant) (default: the kubeconfig context's, then \"fleet\")")
	flags.StringVar(&o.HubNamespace, "hub-namespace", HubNamespace, "namespace of the hub")
	flags.StringVar(&o.Server, "server", "", "address of the hub's API, https://host:port, instead of a kubeconfig")
	flags.StringVar(&o.Token, "token", os.Getenv("PERIPLUS_TOKEN"), "bearer token for --server (default: $PERIPLUS_TOKEN)")
	flags.StringVar(&o.CAFile, "certificate-authority", "", "PEM file with the CA of --server")
	flags.DurationVar(&o.Timeout, "request-timeout", 45*time.Second, "how long one request may take")
}

// Client calls the status API.
type Client struct {
	// Namespace that commands work in.
	Namespace string
	base      *url.URL
	http      *http.Client
	timeout   time.Duration
}

// ErrNotSignedIn is wrapped by errors of calls whose caller the hub does not know.
var ErrNotSignedIn = errors.New("not signed in")

// Error is a call that the hub refused.
type Error struct {
	// Code is the gRPC status code, HTTP the HTTP one.
	Code    int
	HTTP    int
	Message string
}

func (e *Error) Error() string { return e.Message }

// Unwrap makes errors.Is(err, ErrNotSignedIn) work.
func (e *Error) Unwrap() error {
	if e.HTTP == http.StatusUnauthorized {
		return ErrNotSignedIn
	}
	return nil
}

// New connects: it finds the hub through the kubeconfig's cluster unless a server is named.
func (o Options) New(ctx context.Context) (*Client, error) {
	if o.Server != "" {
		return o.direct()
	}
	loader := o.loader()
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w (name one with --kubeconfig, or use --server and --token)", err)
	}
	namespace := o.Namespace
	if namespace == "" {
		if set, explicit, err := loader.Namespace(); err == nil && (explicit || set != "default") {
			namespace = set
		} else {
			namespace = defaultNamespace
		}
	}
	endpoint, ca, err := o.find(ctx, config)
	if err != nil {
		return nil, err
	}
	base := &url.URL{Scheme: "https", Host: endpoint}
	own := rest.CopyConfig(config)
	own.Host = base.String()
	own.APIPath = ""
	own.TLSClientConfig.CAData, own.TLSClientConfig.CAFile = []byte(ca), ""
	own.TLSClientConfig.ServerName, own.TLSClientConfig.Insecure = "", false
	client, err := rest.HTTPClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig's credentials: %w", err)
	}
	return &Client{Namespace: namespace, base: base, http: client, timeout: o.Timeout}, nil
}

func (o Options) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
}

// Rest is the kubeconfig's own connection to the hub's cluster.
func (o Options) Rest() (*rest.Config, error) { return o.loader().ClientConfig() }

func (o Options) find(ctx context.Context, config *rest.Config) (endpoint, ca string, err error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var info *corev1.ConfigMap
	info, err = kube.CoreV1().ConfigMaps(o.HubNamespace).Get(ctx, HubInfo, metav1.GetOptions{})
	switch {
	case apierrors.IsUnauthorized(err):
		return "", "", fmt.Errorf("cannot find the hub: %w: the cluster does not know this kubeconfig's user", ErrNotSignedIn)
	case apierrors.IsNotFound(err):
		return "", "", fmt.Errorf("cannot find the hub: no ConfigMap %s/%s: is this the hub's cluster, and has the hub started?", o.HubNamespace, HubInfo)
	case err != nil:
		return "", "", fmt.Errorf("cannot find the hub: %w", err)
	}
	return info.Data[keyAPIEndpoint], info.Data[keyAPICA], nil
}

func (o Options) direct() (*Client, error) {
	base, err := url.Parse(o.Server)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("--server %q: want https://host:port", o.Server)
	}
	if o.Token == "" {
		return nil, fmt.Errorf("%w: --server needs --token or $PERIPLUS_TOKEN", ErrNotSignedIn)
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read --certificate-authority: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cannot read --certificate-authority %q: no certificate in it", o.CAFile)
		}
	}
	namespace := o.Namespace
	if namespace == "" {
		namespace = defaultNamespace
	}
	transport := &http.Transport{TLSClientConfig: settings, Proxy: http.ProxyFromEnvironment}
	return &Client{Namespace: namespace, base: base, timeout: o.Timeout,
		http: &http.Client{Transport: bearer{o.Token, transport}}}, nil
}

type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// Get reads path (below /api/v1) into answer.
func (c *Client) Get(ctx context.Context, path string, query url.Values, answer proto.Message) error {
	return c.call(ctx, http.MethodGet, path, query, nil, answer)
}

// Post sends body, which may be nil, and reads the answer.
func (c *Client) Post(ctx context.Context, path string, body, answer proto.Message) error {
	return c.call(ctx, http.MethodPost, path, nil, body, answer)
}

// Lines reads path (below /api/v1) as it comes: line gets each part of the answer's lines. It ends with the answer or with ctx.
func (c *Client) Lines(ctx context.Context, path string, query url.Values, line func([]byte) error) error {
	request, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("cannot reach the hub at %s: %w", c.base.Host, unwrapURL(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		if err != nil {
			return fmt.Errorf("cannot read the hub's answer: %w", err)
		}
		return refusal(response.StatusCode, data)
	}
	decoder := json.NewDecoder(response.Body)
	for {
		var part struct {
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		err := decoder.Decode(&part)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("cannot read the hub's answer: %w", err)
		case part.Error != nil:
			return refusal(http.StatusOK, part.Error)
		}
		if err := line(part.Result); err != nil {
			return err
		}
	}
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, payload io.Reader) (*http.Request, error) {
	// path holds escaped names; assigning it to Path would escape them twice.
	target := c.base.JoinPath("api/v1", path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), payload)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, answer proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var payload io.Reader
	if body != nil {
		data, err := protojson.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(data)
	}
	request, err := c.request(ctx, method, path, query, payload)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("cannot reach the hub at %s: %w", c.base.Host, unwrapURL(err))
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("cannot read the hub's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return refusal(response.StatusCode, data)
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, answer); err != nil {
		return fmt.Errorf("cannot read the hub's answer: %w", err)
	}
	return nil
}

func refusal(code int, data []byte) error {
	var body struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(data, &body) != nil || body.Message == "" {
		body.Message = fmt.Sprintf("the hub answered %s", http.StatusText(code))
	}
	return &Error{Code: body.Code, HTTP: code, Message: body.Message}
}

func unwrapURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
