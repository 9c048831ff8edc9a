// Package link is the hub's end of the link: it serves Join, Renew, Connect and Fetch to agents, carries out what each
// stream's state machine (package session) asks of the store, and tells which clusters are connected. It decides nothing
// about what a cluster shall run: it hands out what control and rollout assigned, and takes back what agents report.
package link
