"""What the SQL of a spec may call and cast to: a fixed list, the same for every version of the engine.

Everything listed depends on its arguments alone. Not listed: functions that read a clock, a setting, a file
or a random source, whose results differ between versions (`hash`, `typeof`), or that take a function's name
as text. docs/spec.md repeats the tables; a test compares them.
"""

from __future__ import annotations


def names(*lists: str) -> frozenset[str]:
    """The names in texts that separate them by spaces and lines."""
    return frozenset(" ".join(lists).split())


#: Topic -> names of functions, as called or as the parser names a piece of syntax.
FUNCTIONS = {
    "arithmetic": """
        + - * / // % ** ^ & | << >> ~ @ add subtract multiply divide mod fmod xor abs ceil ceiling
        floor round trunc round_even even sign sqrt cbrt pow power exp ln log log2 log10 greatest
        least factorial gcd lcm isnan isinf isfinite bit_count sin cos tan cot asin acos atan atan2
        pi degrees radians""",
    "condition": "coalesce if ifnull nullif",
    "text": """
        || concat concat_ws length len char_length character_length strlen lower lcase upper ucase
        trim ltrim rtrim lpad rpad left right left_grapheme right_grapheme length_grapheme substr
        substring substring_grapheme overlay split_part split string_split str_split string_to_array
        replace translate repeat reverse position strpos instr contains prefix suffix starts_with
        ends_with ^@ ascii ord unicode chr format printf strip_accents nfc_normalize ~~ !~~ ~~* !~~*
        ~~~ like_escape ilike_escape not_like_escape not_ilike_escape levenshtein editdist3
        damerau_levenshtein hamming jaccard jaro_similarity jaro_winkler_similarity md5 sha1 sha256
        hex to_hex unhex from_hex base64 to_base64 from_base64 encode decode bin to_binary
        url_encode url_decode parse_filename parse_dirname parse_dirpath parse_path""",
    "regular expressions": """
        ~ !~ regexp_matches regexp_full_match regexp_extract regexp_extract_all regexp_replace
        regexp_escape regexp_split_to_array string_split_regex str_split_regex""",
    "lists": """
        list_value list_pack array_value array_extract list_extract list_element array_slice
        list_slice list_transform array_transform list_apply array_apply apply list_filter
        array_filter filter list_reduce array_reduce reduce list_sort array_sort list_reverse_sort
        array_reverse_sort list_grade_up list_reverse array_reverse list_distinct array_distinct
        list_unique array_unique list_concat list_cat array_concat array_cat list_append
        array_append list_prepend array_prepend array_push_back array_push_front array_pop_back
        array_pop_front list_contains list_has array_contains array_has list_has_any array_has_any
        list_has_all array_has_all && @> <@ list_intersect array_intersect list_position
        list_indexof array_position array_indexof list_zip array_zip list_select array_select
        list_where array_where list_resize array_resize flatten array_length cardinality
        array_to_string list_sum list_avg list_min list_max list_count list_product list_median
        list_bool_and list_bool_or list_first list_last list_any_value list_string_agg range
        generate_series generate_subscripts unnest""",
    "structs and maps": """
        row struct_pack struct_extract struct_extract_at struct_insert struct_concat struct_keys
        struct_values map map_from_entries map_entries map_keys map_values map_extract
        map_extract_value map_contains map_concat element_at union_value union_extract union_tag""",
    "JSON": """
        -> ->> json_extract json_extract_path json_extract_string json_extract_path_text
        json_array_length json_keys json_type json_valid json_exists json_value json_contains
        from_json json_transform""",
    "dates": """
        date_part datepart year quarter month week yearweek weekofyear day dayofmonth dayofweek
        dayofyear isodow isoyear weekday hour minute second millisecond microsecond decade century
        millennium era dayname monthname date_trunc datetrunc date_diff datediff date_sub datesub
        date_add last_day age epoch epoch_ms epoch_us epoch_ns make_date make_time make_timestamp
        make_timestamp_ms strftime strptime try_strptime time_bucket to_years to_quarters to_months
        to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds to_decades
        to_centuries to_millennia""",
    "aggregates": """
        count count_star count_if countif sum avg mean min max product bool_and bool_or bit_and
        bit_or bit_xor arg_min argmin min_by arg_max argmax max_by arg_min_null arg_max_null median
        mode quantile_cont quantile_disc quantile stddev stddev_pop stddev_samp variance var_pop
        var_samp histogram list array_agg string_agg group_concat listagg first last any_value
        arbitrary grouping""",
    "windows": """
        row_number rank dense_rank rank_dense percent_rank cume_dist ntile lag lead first_value
        first last_value nth_value fill""",
}

FUNCTION_NAMES = names(*FUNCTIONS.values())

#: The functions allowed in FROM.
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})

#: Aggregates whose result, or its rounding, depends on the order of rows unless they have ORDER BY.
ORDERED_AGGREGATES = names(
    "list array_agg string_agg group_concat listagg first last any_value arbitrary mode",
    "sum avg mean product stddev stddev_pop stddev_samp variance var_pop var_samp",
)

#: Window functions whose result depends on the order of rows unless OVER has ORDER BY.
ORDERED_WINDOWS = frozenset(
    {"row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value", "fill"}
    | ORDERED_AGGREGATES
)

#: Kind -> types that a cast and a declared column may have. None of them reads the session's time zone.
TYPES = {
    "truth and numbers": """
        BOOLEAN BOOL LOGICAL TINYINT SMALLINT INTEGER INT BIGINT HUGEINT UTINYINT USMALLINT UINTEGER
        UBIGINT UHUGEINT INT1 INT2 INT4 INT8 INT16 INT32 INT64 INT128 UINT8 UINT16 UINT32 UINT64
        SHORT LONG SIGNED INTEGRAL FLOAT REAL FLOAT4 DOUBLE FLOAT8 DECIMAL NUMERIC DEC""",
    "text and bytes": """
        VARCHAR TEXT STRING CHAR BPCHAR NVARCHAR BLOB BYTEA BINARY VARBINARY BIT UUID JSON ENUM""",
    "dates": "DATE TIME TIMESTAMP DATETIME TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_US TIMESTAMP_NS INTERVAL",
    "nested": "LIST ARRAY STRUCT ROW MAP UNION",
}

TYPE_NAMES = names(*TYPES.values())

#: Names that are not columns: the engine evaluates them from the clock or the session.
SESSION_WORDS = names(
    """current_date current_time current_timestamp localtime localtimestamp current_user current_role
    session_user user current_catalog current_database current_schema"""
)

_DRAW = "draw with `derive:`, which depends on the seed and the key alone"
_CLOCK = "a spec cannot read the clock: write the date, or take it from a column"
_TABLE = "declare the file under `tables:` in dataset.yaml"

#: Functions that contributors may try -> what to write instead.
INSTEAD = (
    dict.fromkeys(("random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "setseed"), _DRAW)
    | dict.fromkeys(("now", "today", "get_current_timestamp", "transaction_timestamp"), _CLOCK)
    | dict.fromkeys(SESSION_WORDS, _CLOCK)
    | dict.fromkeys(("read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_parquet"), _TABLE)
    | dict.fromkeys(("read_text", "read_blob", "glob", "parquet_scan", "sniff_csv"), _TABLE)
    | dict.fromkeys(
        ("to_timestamp", "timezone", "make_timestamptz"), "epoch_ms() and strptime() have no time zone"
    )
    | {
        "hash": "md5() gives the same result in every version",
        "list_aggregate": "list_sum(), list_min(), list_max() and similar functions",
        "typeof": "the type of a column is the one declared in dataset.yaml",
    }
)
