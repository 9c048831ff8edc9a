package podrunner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/periplus-fleet/periplus/clusters/local/process"
)

const (
	tokenLife = time.Hour
	// client-go reads a token file anew every minute.
	tokenRenewal = 20 * time.Minute
	tokenRetry   = 5 * time.Second
	endPatience  = 10 * time.Second
)

// agent is the process of one pod and what keeps its token fresh.
type agent struct {
	process *process.Process
	stop    context.CancelFunc
	keeper  sync.WaitGroup
	folder  string
}

// start runs the pod's first container: the agent's pod has no other.
func (r *runner) start(ctx context.Context, pod *corev1.Pod) (*agent, error) {
	container := pod.Spec.Containers[0]
	env, err := Environment(ctx, source{client: r.client, pod: pod}, container)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve the environment of %s: %w", describe(pod), err)
	}
	folder := filepath.Join(r.member.Folder, "agents", string(pod.UID))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := r.refresh(ctx, pod, folder); err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := r.writeKubeconfig(kubeconfig, folder); err != nil {
		return nil, err
	}
	p, err := process.Start(ctx, process.Spec{
		Name: r.member.Cluster.String() + " agent", Path: r.cfg.Binary, Args: Arguments(container, env),
		Env: append(list(env), "KUBECONFIG="+kubeconfig, "POD_NAMESPACE="+pod.Namespace),
		// The log stays when the pod goes: it is what says why an agent was unhappy.
		Log: filepath.Join(r.member.Folder, "agent.log"), PidFile: filepath.Join(folder, "agent.pid"), Grace: 5 * time.Second,
	}, process.Options{Restart: true, Report: func(event process.Event) {
		r.cfg.Log.Info("agent ended by itself", "cluster", r.member.Cluster, "err", event.Err, "restarts", event.Restarts)
	}})
	if err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	a := &agent{process: p, stop: stop, folder: folder}
	a.keeper.Go(func() { r.keepToken(keeping, pod, folder) })
	return a, nil
}

func (r *runner) keepToken(ctx context.Context, pod *corev1.Pod, folder string) {
	wait := tokenRenewal
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = tokenRenewal
		if err := r.refresh(ctx, pod, folder); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("cannot refresh the agent's token", "cluster", r.member.Cluster, "err", err)
			wait = tokenRetry
		}
	}
}

// refresh writes a token of the pod's ServiceAccount, bound to the pod: it ends with it.
func (r *runner) refresh(ctx context.Context, pod *corev1.Pod, folder string) error {
	account := pod.Spec.ServiceAccountName
	token, err := r.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(tokenLife.Seconds())),
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot request a token of ServiceAccount %q for %s: %w", account, describe(pod), err)
	}
	path := tokenFile(folder)
	if err := os.WriteFile(path+".new", []byte(token.Status.Token), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func tokenFile(folder string) string { return filepath.Join(folder, "token") }

// writeKubeconfig names the token's file and holds no credential itself.
func (r *runner) writeKubeconfig(path, folder string) error {
	out := clientcmdapi.NewConfig()
	out.Clusters["member"] = &clientcmdapi.Cluster{Server: r.member.Server.URL(), CertificateAuthorityData: r.member.Server.CA.Cert}
	out.AuthInfos["agent"] = &clientcmdapi.AuthInfo{TokenFile: tokenFile(folder)}
	out.Contexts["member"] = &clientcmdapi.Context{Cluster: "member", AuthInfo: "agent", Namespace: namespace}
	out.CurrentContext = "member"
	return clientcmd.WriteToFile(*out, path)
}

func (a *agent) end() {
	a.stop()
	a.keeper.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	_ = a.process.Stop(ctx)
	_ = os.RemoveAll(a.folder)
}
