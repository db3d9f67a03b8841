"""What the program may say."""

import re

#: Words of the libraries that Longshore is built on: nobody who writes a job knows them.
FOREIGN = re.compile(
    r"\bstruct\b|\b[uif](8|16|32|64|128|size)\b|datafusion|serde|saphyr|object_store|\bOption<|\bVec<|\bRaw[A-Z]\w+"
    r"|DuplicateKeyPolicy|untagged|data did not match|External error|Arrow error|Parquet error|Schema error|Internal error"
    r"|Execution error|Error during planning|SQL error|ParserError|bug in|RUST_BACKTRACE|panicked|invalid type: |Err\(|Some\("
)


def plain(text):
    """Nothing of a library is in it."""
    found = FOREIGN.search(text)
    assert not found, f"`{found[0]}` in: {text}"
    return text
