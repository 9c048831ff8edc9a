# Versions of Kubernetes and of releases, with or without a leading v.
package lib.periplus.version

# compare is -1, 0 or 1.
compare(a, b) := semver.compare(full(a), full(b))

at_least(version, least) if compare(version, least) >= 0

minor(version) := to_number(split(full(version), ".")[1])

# skew is how many minor versions a is ahead of b.
skew(a, b) := minor(a) - minor(b)

# full version of v1.36 is 1.36.0.
full(version) := bare if {
	bare := trim_prefix(version, "v")
	count(split(bare, ".")) >= 3
}

full(version) := sprintf("%s.0", [bare]) if {
	bare := trim_prefix(version, "v")
	count(split(bare, ".")) == 2
}
