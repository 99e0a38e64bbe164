"""The paper's experiment from seeds to one page: patients, training, prediction, tables, and which claims hold."""
