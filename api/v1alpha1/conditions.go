package v1alpha1

// Condition types. Every kind with a status has Ready; the others appear where they say something.
const (
	// ConditionReady is True when the object is as declared.
	ConditionReady = "Ready"
	// ConditionReconciling is True while progress is being made towards Ready.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when nothing will change without a person: a mistake in Git, a refused declaration.
	ConditionStalled = "Stalled"
	// ConditionConnected is True while the cluster's agent has a live link to the hub (FleetCluster).
	ConditionConnected = "Connected"
	// ConditionProvisioned mirrors Cluster API's Available condition (FleetCluster with spec.provision).
	ConditionProvisioned = "Provisioned"
	// ConditionAgentInstalled is True when the hub installed the agent's chart in a provisioned cluster.
	ConditionAgentInstalled = "AgentInstalled"
	// ConditionRenderWarnings is True while a renderer warns of something in the bundle (Bundle).
	ConditionRenderWarnings = "RenderWarnings"
	// ConditionRelearning is True while the hub learns what the cluster runs after a restore of its store.
	ConditionRelearning = "Relearning"
)

// Annotations and labels that this project sets or reads on objects of others.
const (
	// LabelManaged marks each object that an agent applied. It is an index for watches, never a proof of ownership.
	LabelManaged = Group + "/managed"
	// AnnotationOwner names the bundle, and the object itself, that an agent applied: "<bundle namespace>/<bundle name>:<group>/<kind>/<namespace>/<name>".
	// Others copy labels and annotations between objects; the second part tells a copy from the original.
	AnnotationOwner = Group + "/owner"
	// LabelRepo and AnnotationSource say which FleetRepo, file and commit declared an object in the hub's API.
	LabelRepo        = Group + "/repo"
	AnnotationSource = Group + "/source"
	AnnotationCommit = Group + "/commit"
	// AnnotationSync on a FleetRepo asks for a read now; its value comes back in status.lastSync.
	AnnotationSync = Group + "/sync"

	// KindClusterJoin is what policies review when a cluster joins; it is no kind of the API.
	KindClusterJoin = "ClusterJoin"

	// FinalizerCluster holds a FleetCluster until its removal is carried out in order.
	FinalizerCluster = Group + "/cluster"
)

// Per-object annotations that a user may write in a bundle's manifests. One that this version does not carry out is refused by name.
const (
	AnnotationWave    = Group + "/wave"
	AnnotationPrune   = Group + "/prune"
	AnnotationApply   = Group + "/apply"
	AnnotationAdopt   = Group + "/adopt"
	AnnotationTimeout = Group + "/timeout"
	AnnotationIgnore  = Group + "/ignore"
)
