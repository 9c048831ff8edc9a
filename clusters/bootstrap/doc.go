// Package bootstrap brings the agent into a cluster that Cluster API made: with the cluster's kubeconfig Secret it installs
// the chart periplus-agent once, and again if it is gone or its values changed. It is the only thing that the hub ever
// delivers through a kubeconfig; everything else travels by the link that the agent then opens.
package bootstrap
