# METADATA
# title: Crossplane
# custom:
#   kinds: [Provider.pkg.crossplane.io, Configuration.pkg.crossplane.io, Function.pkg.crossplane.io, CompositeResourceDefinition.apiextensions.crossplane.io]
package health.crossplane

import data.health.lib

status := verdict.status

message := verdict.message

needed := ["Established"] if input.kind == "CompositeResourceDefinition"

else := ["Installed", "Healthy"]

verdicts := [v | some type in needed; v := lib.by(input, type, ["UnhealthyPackageRevision"])]

verdict := [v | some v in array.concat(open, [lib.ready])][0]

open := [v | some v in verdicts; v.status != "Ready"]
