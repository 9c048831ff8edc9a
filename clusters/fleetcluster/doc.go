// Package fleetcluster carries out what a FleetCluster declares: it keeps a Cluster API Cluster for it (or looks at one that
// someone else owns), says in the FleetCluster's status how that Cluster is, and removes it in order when the FleetCluster
// goes.
//
// It stands beside the way of a commit: package fleet writes the FleetClusters that Git declares, this package turns them
// into machines, package bootstrap brings the agent in, and from then on the link alone is used.
//
// No owner reference ties a Cluster to its FleetCluster: the garbage collector would take a lost FleetCluster for the word
// to delete machines. The tie is an annotation with the FleetCluster's UID, and only the finalizer's removal deletes.
package fleetcluster
