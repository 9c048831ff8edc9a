package podrunner

import (
	"context"
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// source is where values of variables come from.
type source struct {
	client kubernetes.Interface
	pod    *corev1.Pod
}

// Environment resolves a container's variables as a kubelet does: in order, later ones may use earlier ones as $(NAME).
func Environment(ctx context.Context, from source, container corev1.Container) (map[string]string, error) {
	out := map[string]string{}
	for _, group := range container.EnvFrom {
		if err := from.all(ctx, group, out); err != nil {
			return nil, err
		}
	}
	for _, variable := range container.Env {
		if variable.ValueFrom == nil {
			out[variable.Name] = expand(variable.Value, out)
			continue
		}
		value, found, err := from.value(ctx, variable.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("variable %q: %w", variable.Name, err)
		}
		if found {
			out[variable.Name] = value
		}
	}
	return out, nil
}

// Arguments of the container: what follows the binary's name in its command, then its args.
func Arguments(container corev1.Container, env map[string]string) []string {
	var out []string
	if len(container.Command) > 1 {
		out = append(out, container.Command[1:]...)
	}
	out = append(out, container.Args...)
	for i := range out {
		out[i] = expand(out[i], env)
	}
	return out
}

// expand replaces $(NAME) of known names; $$ stands for $.
func expand(text string, env map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			name, _, closed := strings.Cut(text[i+2:], ")")
			value, known := env[name]
			if !closed || !known {
				out.WriteByte('$')
				continue
			}
			out.WriteString(value)
			i += len(name) + 2
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}

func (s source) value(ctx context.Context, from *corev1.EnvVarSource) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := field(s.pod, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		secret, err := s.client.CoreV1().Secrets(s.pod.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		return pick(err, ref.Optional, "Secret "+ref.Name, ref.Key, func() (string, bool) { v, ok := secret.Data[ref.Key]; return string(v), ok })
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		config, err := s.client.CoreV1().ConfigMaps(s.pod.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		return pick(err, ref.Optional, "ConfigMap "+ref.Name, ref.Key, func() (string, bool) { v, ok := config.Data[ref.Key]; return v, ok })
	default:
		return "", false, fmt.Errorf("its source is not simulated")
	}
}

func pick(err error, optional *bool, object, key string, get func() (string, bool)) (string, bool, error) {
	mayMiss := optional != nil && *optional
	if err != nil {
		if apierrors.IsNotFound(err) && mayMiss {
			return "", false, nil
		}
		return "", false, err
	}
	value, ok := get()
	if !ok && !mayMiss {
		return "", false, fmt.Errorf("%s has no key %q", object, key)
	}
	return value, ok, nil
}

func (s source) all(ctx context.Context, from corev1.EnvFromSource, out map[string]string) error {
	switch {
	case from.SecretRef != nil:
		secret, err := s.client.CoreV1().Secrets(s.pod.Namespace).Get(ctx, from.SecretRef.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for key, value := range secret.Data {
			out[from.Prefix+key] = string(value)
		}
	case from.ConfigMapRef != nil:
		config, err := s.client.CoreV1().ConfigMaps(s.pod.Namespace).Get(ctx, from.ConfigMapRef.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for key, value := range config.Data {
			out[from.Prefix+key] = value
		}
	}
	return nil
}

// field is a value of the pod that a variable may name.
func field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP":
		return pod.Status.PodIP, nil
	case "status.hostIP":
		return pod.Status.HostIP, nil
	default:
		return "", fmt.Errorf("field %q is not simulated", path)
	}
}

func list(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	sort.Strings(out)
	return out
}
