// Package kwok simulates the kubelets of a member: KWOK's controllers, in this process, make every Node of the member Ready,
// run and complete its pods, and bind its volumes. It is a companion of package member.
package kwok

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/client/clientset/versioned"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/client"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/member"
)

//go:embed volumes.yaml
var volumes string

// storageClass that volumes.yaml knows; it is the member's default.
const storageClass = "kwok-volume"

// Companion simulates the machines of members.
func Companion() member.Companion { return member.Companion{Name: "kwok", Run: run} }

func run(ctx context.Context, running member.Running) error {
	config, err := running.Server.Config("periplus-kwok", "system:masters")
	if err != nil {
		return err
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := ensureStorageClass(ctx, typed); err != nil {
		return err
	}
	cfg, err := controllersConfig(running, config, typed)
	if err != nil {
		return err
	}
	controller, err := controllers.NewController(cfg)
	if err != nil {
		return fmt.Errorf("cannot make the simulation of %q: %w", running.Cluster, err)
	}
	ctx = log.NewContext(ctx, log.NewLogger(io.Discard, log.LevelError))
	if err := controller.Start(ctx); err != nil {
		return fmt.Errorf("cannot start the simulation of %q: %w", running.Cluster, err)
	}
	<-ctx.Done()
	return nil
}

func controllersConfig(running member.Running, config *rest.Config, typed kubernetes.Interface) (controllers.Config, error) {
	// KWOK's clients read a file.
	path := filepath.Join(running.Folder, "kwok.kubeconfig")
	data, err := apiserver.Kubeconfig(running.Cluster.Name, "periplus-kwok", config)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return controllers.Config{}, fmt.Errorf("cannot write the simulation's kubeconfig: %w", err)
	}
	clients, err := client.NewClientset("", path)
	if err != nil {
		return controllers.Config{}, err
	}
	dynamicClient, errDynamic := clients.ToDynamicClient()
	mapper, errMapper := clients.ToRESTMapper()
	restConfig, errConfig := clients.ToRESTConfig()
	if err := errors.Join(errDynamic, errMapper, errConfig); err != nil {
		return controllers.Config{}, err
	}
	restClient, errRest := rest.RESTClientFor(restConfig)
	kwokClient, errKwok := versioned.NewForConfig(restConfig)
	stages, errStages := stages()
	if err := errors.Join(errRest, errKwok, errStages); err != nil {
		return controllers.Config{}, err
	}
	return controllers.Config{
		Clock: clock.RealClock{}, DynamicClient: dynamicClient, RESTClient: restClient, RESTMapper: mapper,
		TypedClient: typed, TypedKwokClient: kwokClient,
		ImpersonatingDynamicClient: clients.ToImpersonatingDynamicClient(), ImpersonatingTypedClient: clients.ToImpersonatingTypedClient(),
		ManageAllNodes: true, CIDR: "10.0.0.1/16", NodeIP: "127.0.0.1", NodePort: 0,
		PodPlayStageParallelism: 4, NodePlayStageParallelism: 2, PodsOnNodeSyncParallelism: 2,
		// No Node leases: they are the most writes that an idle member would make. The member's controller-manager is told
		// to be patient, and a Node's conditions do not age without one.
		NodeLeaseDurationSeconds: 0, LocalStages: stages, ID: "periplus",
	}, nil
}

// stages by the kind that they play on.
func stages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	documents := append([]string{nodefast.DefaultNodeInit, podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete},
		strings.Split(volumes, "\n---\n")...)
	out := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, document := range documents {
		external := &v1alpha1.Stage{}
		if err := yaml.Unmarshal([]byte(document), external); err != nil {
			return nil, fmt.Errorf("cannot read a stage: %w", err)
		}
		stage, err := internalversion.ConvertToInternalStage(external)
		if err != nil {
			return nil, fmt.Errorf("cannot read stage %q: %w", external.Name, err)
		}
		out[stage.Spec.ResourceRef] = append(out[stage.Spec.ResourceRef], stage)
	}
	return out, nil
}

func ensureStorageClass(ctx context.Context, typed kubernetes.Interface) error {
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: storageClass,
		Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}}, Provisioner: "kwok.x-k8s.io/volume"}
	_, err := typed.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("cannot make storage class %q: %w", storageClass, err)
	}
	return nil
}
