/** What `--help` ends with. */
export const EXAMPLES = `
Examples:
  lane-cache metrics                          all lanes in numbers
  lane-cache --lane standard metrics --verbose
  lane-cache explain user:42 --lane docs      why is this key (not) served?
  lane-cache keys 'user:*'                    what is stored, and for how long
  lane-cache invalidate --pattern 'user:*' --dry-run
  lane-cache invalidate --tag batch_run_5 --yes
  lane-cache clear --lane docs --yes
  lane-cache cleanup --max-age-days 30 --dry-run
  lane-cache checkpoints list --workflow nightly
  lane-cache checkpoints export run-7 --output run-7.json
  lane-cache doctor || echo 'look at the findings'
  lane-cache metrics --json | jq '.lanes.standard.hitRate'
  lane-cache --lane standard --action clear

Exit codes:
   0  done
   1  findings (doctor, verify)
   2  bad arguments, an unknown lane among them
   3  no such directory, or not the directory of a lane cache
   4  the app that owns the directory did not answer in time
   5  not confirmed: no --yes, and no terminal to ask on
   6  not found (checkpoints show, export, rm)
  70  internal error
`;
