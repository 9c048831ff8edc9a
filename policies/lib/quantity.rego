# Kubernetes quantities, such as 500m or 1Gi.
package lib.periplus.quantity

# cpu in cores, of a text or a number.
cpu(quantity) := units.parse(sprintf("%v", [quantity]))

# memory in bytes, of a text or a number.
memory(quantity) := units.parse_bytes(sprintf("%v", [quantity]))
