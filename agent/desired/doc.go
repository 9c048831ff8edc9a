// Package desired keeps what the hub last asked of this cluster, in the cluster itself: the accepted set and all content
// that it needs. It is written by the link before the agent says Accepted, and read by the reconciler, also when the hub
// is away and after a restart. Content lies in immutable Secrets named by digest; one state Secret says which set is
// accepted, so that a change of the set is one write.
package desired
