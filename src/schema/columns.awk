# Are the columns of the tables `visit` and `instance` in 10_tables.sql those of store/columns.c? Both files are given.

function compare(table, name)
{
	for (name in sql)
		if (name ~ "^" table " " && !(name in c))
			wrong("column " name " is missing in columns.c")
	for (name in c)
		if (name ~ "^" table " " && !(name in sql))
			wrong("column " name " is missing in 10_tables.sql")
}

function wrong(text)
{
	print "workflow: " text
	failed = 1
}

/^static const WfTableColumn [a-z]+_columns\[\]/ { struct = $4; sub(/_columns.*/, "", struct) }
struct != "" && /^\t\{"/ && !/WF_STORED_NOT/ { split($0, part, "\""); c[struct " " part[2]] = 1; n++ }
/^\};/ { struct = "" }

/^CREATE TABLE workflow_data\.(visit|instance) \($/ { table = $3; sub(/.*\./, "", table) }
table != "" && /^    [a-z_]+ / { sql[table " " $1] = 1; m++ }
/^\)/ { table = "" }

END {
	if (n == 0 || m == 0)
		wrong("there are no columns to compare")
	compare("visit")
	compare("instance")
	exit failed
}
