package content

// Capabilities that a revision may need of an agent; an entry that names one which the agent lacks is refused by name.
const (
	CapabilityHooks = "hooks.v1"
	// CapabilitySealed opens SOPS-encrypted objects in the cluster.
	CapabilitySealed = "sealed.v1"
	CapabilityOnce   = "once.v1"
	// CapabilityObjectDependencies waits for objects, not only for bundles.
	CapabilityObjectDependencies = "object-dependencies.v1"
	// CapabilityOptions knows the options of single objects.
	CapabilityOptions = "object-options.v1"
	// CapabilityWaves knows waves, timeouts, ignored fields and the later values of options.
	CapabilityWaves = "object-options.v2"
	// CapabilityRollback goes back to the last good revision.
	CapabilityRollback = "rollback.v1"
	// CapabilityDriftManagers leaves changes by named field managers alone.
	CapabilityDriftManagers = "drift-managers.v1"
	// CapabilityQueries answers questions about the cluster.
	CapabilityQueries = "queries.v1"
)

// Hook says when the agent runs an object.
type Hook struct {
	// Events, sorted: pre-install, post-install, pre-upgrade, post-upgrade, pre-delete, post-delete, pre-rollback,
	// post-rollback, test.
	Events []string `json:"events"`
	// Weight orders the hooks of one event, lower ones first; equal ones by kind and name.
	Weight int `json:"weight,omitempty"`
	// DeletePolicies, sorted: before-hook-creation (the default), hook-succeeded, hook-failed.
	DeletePolicies []string `json:"deletePolicies,omitempty"`
}

// The events of hooks.
const (
	HookPreInstall   = "pre-install"
	HookPostInstall  = "post-install"
	HookPreUpgrade   = "pre-upgrade"
	HookPostUpgrade  = "post-upgrade"
	HookPreDelete    = "pre-delete"
	HookPostDelete   = "post-delete"
	HookPreRollback  = "pre-rollback"
	HookPostRollback = "post-rollback"
	HookTest         = "test"
)

// When a hook's object is deleted.
const (
	HookBeforeCreation = "before-hook-creation"
	HookSucceeded      = "hook-succeeded"
	HookFailed         = "hook-failed"
)
