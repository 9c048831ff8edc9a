# Parts of a container image's name.
package lib.periplus.image

# parts of "host:5000/team/app:v1@sha256:..." are registry, repository, tag and digest; what is not said is "". The registry is
# "docker.io" where none is said, as container runtimes have it.
parts(image) := {"registry": registry(image), "repository": repository(image), "tag": tag(image), "digest": digest(image)}

digest(image) := split(image, "@")[1] if contains(image, "@")

digest(image) := "" if not contains(image, "@")

registry(image) := first if {
	first := split(image, "/")[0]
	first_is_host(image)
}

registry(image) := "docker.io" if not first_is_host(image)

repository(image) := substring(path, count(first) + 1, -1) if {
	path := untagged(image)
	first := split(path, "/")[0]
	first_is_host(image)
}

repository(image) := untagged(image) if not first_is_host(image)

tag(image) := split(last(image), ":")[1] if contains(last(image), ":")

tag(image) := "" if not contains(last(image), ":")

# last part of the path, with its tag.
last(image) := all[count(all) - 1] if all := split(split(image, "@")[0], "/")

untagged(image) := trim_suffix(split(image, "@")[0], sprintf(":%s", [tag(image)]))

first_is_host(image) if {
	contains(image, "/")
	first := split(image, "/")[0]
	regex.match(`[.:]|^localhost$`, first)
}
