// Package identity says who is who on the link. It holds the fleet's certificate authority (a root, and one intermediate
// each for hubs and agents), signs what agents and hub processes ask for through the store's queue, and judges the
// certificates that agents present. Only the control role reads the keys; the link role, which faces outside, asks through
// the queue and knows nothing but the public part.
package identity
